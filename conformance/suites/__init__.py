"""The rules, a file for each part of the contract. Importing a file adds its checks."""
