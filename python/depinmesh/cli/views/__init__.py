"""Views of a running node, which is asked at its ops server."""
