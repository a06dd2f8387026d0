"""What people ask for by hand, wherever they ask it: which edits that makes, and what these do.

It knows objects as JSON, and decides with the rules of `plan`. Commands and the HTTP server use it;
who may ask, and how an edit reaches its object, is theirs to say (`ports`).
"""
