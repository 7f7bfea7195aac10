import figures


def handler(event, context):
    """Makes the report. A report without numbers fails: that is what the queue of failures is for."""
    return figures.summary(event["numbers"])
