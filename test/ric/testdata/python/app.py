def handler(event, context):
    if isinstance(event, dict) and event.get("fail"):
        raise ValueError("as told")
    if isinstance(event, dict) and event.get("large"):
        return "x" * (7 * 1024 * 1024)
    return {
        "event": event,
        "id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "custom": context.client_context.custom["k"],
        "me": context.identity.cognito_identity_id,
        "left": context.get_remaining_time_in_millis(),
    }
