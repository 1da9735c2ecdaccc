"""Planted wrong answers for the labs, and what runs a lab's own test cells on them."""
