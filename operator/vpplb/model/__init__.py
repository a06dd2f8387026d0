"""Values: frozen dataclasses, enumerations and names that every other package speaks in.

Knows nothing but the standard library's value types. No I/O, no clock, no asyncio. Everyone
may import it; it imports nobody.
"""
