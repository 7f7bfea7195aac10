"""What the functions of this example share: it comes from a layer."""


def parse(text):
    """The numbers of a text, one for each word."""
    return [float(word) for word in text.split()]


def summary(numbers):
    return {"count": len(numbers), "sum": sum(numbers), "mean": sum(numbers) / len(numbers)}
