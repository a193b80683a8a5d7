"""The peers: each runs in an environment of its own, so none imports anything of ours but the rows."""
