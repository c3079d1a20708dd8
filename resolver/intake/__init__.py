"""Files of enterprises become registrations: the client-side room behind ``idis import``.

Every reader is a generator of ``Row``: a registration or the error of that row, with the number
people see in their editor. A bad row never stops a reader; a broken file raises ``IntakeError``
after everything valid before it was yielded. The room reads files and nothing else: it knows no
node, no socket and no event loop. Start with ``files.open_rows``, then ``chunks.chunks``, then
``results.ResultWriter``.
"""
