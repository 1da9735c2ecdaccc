"""Checks of what a public function is given, made once, at its first lines."""
