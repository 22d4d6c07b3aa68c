"""Base58, the text of wallets, secrets and addresses; the packages of Solana, which have it too, are an extra."""

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def encode(content: bytes) -> str:
    """Return bytes of any length as text."""
    number, digits = int.from_bytes(content, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        digits = _ALPHABET[digit] + digits
    return _ALPHABET[0] * (len(content) - len(content.lstrip(b"\0"))) + digits


def decode(text: str) -> bytes:
    """Return the bytes that a text stands for. `ValueError`: it has a character that Base58 has not."""
    number = 0
    for digit in text:
        number = number * 58 + _ALPHABET.index(digit)
    zeroes = len(text) - len(text.lstrip(_ALPHABET[0]))
    return bytes(zeroes) + number.to_bytes((number.bit_length() + 7) // 8, "big")
