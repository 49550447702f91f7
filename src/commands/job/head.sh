#!/bin/bash
# A job of framewise {{ version }}, written by
#   {{ typed }}
# Submit it with: {{ submit }}
# Whatever ends it, the result keeps all that is committed, and the same script goes on from there, on any number of nodes.
{% if array %}
# So many jobs, each on its own nodes, fill one result together (--share).
{% endif %}
