"""How people's commands reach objects: a client of few requests over a Unix socket.

At the other end is `kubectl proxy`, which knows every kind of login, or the control socket of a
program that has no API server and answers as one. Nothing here takes long to import but
`control_server`, which only that program needs, and `url_reader`, which asks an agent at its URL.
"""
