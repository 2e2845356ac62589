"""A headquarters hub for development: the real SignalR protocol, as ASP.NET Core speaks it, on loopback.

Any SignalR client can talk to it. It is held to the behaviour of the real server by tests that run against both.
It offers WebSockets and the JSON protocol, not the older transports, MessagePack, stateful reconnect or bearer tokens.
"""
