import socket


def handler(event, context):
    try:
        socket.create_connection((event["host"], event["port"]), 10).close()
        return {"errno": 0}
    except OSError as e:
        return {"errno": e.errno}
