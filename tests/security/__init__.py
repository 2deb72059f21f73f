"""What strangers try: every route and every caller, every answer and its headers, requests changed by a hair."""
