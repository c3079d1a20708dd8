"""Messages and stubs generated from ``proto/resolver/v1`` by ``make proto``. Do not edit."""
