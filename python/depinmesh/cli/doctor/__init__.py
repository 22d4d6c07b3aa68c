"""`depinmesh doctor`: what is wrong with a node or its surroundings, and what to do about it.

`finding` is one result; `local` looks at this machine, `fleet` at the registry and the other nodes, `clock` at the
time; `command` goes through all of them.
"""
