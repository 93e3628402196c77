print(48 + 24)
