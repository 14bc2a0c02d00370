"""What a text has in common, word for word, with another."""

__all__ = ["longest_common"]


def longest_common(text: str, source: str, n_passages: int = 5, shortest: int = 20) -> list[str]:
    """The longest passages of `text` that stand so in `source`, longest first; none overlaps another."""
    found: list[tuple[int, int]] = []
    start = 0
    while start + shortest <= len(text):
        end = start + shortest
        if text[start:end] not in source:
            start += 1
            continue
        # grow by doubling, then by halves: a few searches for each passage
        step = shortest
        while step:
            if end + step <= len(text) and text[start : end + step] in source:
                end += step
                step *= 2
            else:
                step //= 2
        found.append((start, end))
        start = end
    found.sort(key=lambda span: span[0] - span[1])
    return [text[start:end] for start, end in found[:n_passages]]
