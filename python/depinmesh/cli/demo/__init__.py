"""`depinmesh demo`: three nodes that talk, and a stranger who gets nothing until it is listed.

`command` plays it with the processes of `child`, which run `node` and `stranger`; `result` judges, `table` prints.
"""
