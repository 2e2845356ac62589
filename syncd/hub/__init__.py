"""The connection to HQ: SignalR over WebSockets, kept alive whatever the line does.

`Hub` supervises; `HubSession` is one live connection. Nothing here knows the database or what the messages mean.
"""
