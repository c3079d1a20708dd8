"""The JSON API: every gRPC method over HTTP, by the ``google.api.http`` rules that stand in its contract.

Nothing here knows a method by name. ``bindings`` reads the rules from the descriptors, ``paths`` finds the method of a
request, ``json_in`` and ``json_out`` follow the JSON mapping of protobuf, ``streams`` carries streams as lines of JSON
or as server-sent events, ``openapi`` writes the document that describes it all, with the ``comments`` of the contracts.
A method that is added to a contract with its rule is here without further work.
"""
