"""Writes the pages of the documentation that are made from the code; they import the product."""
