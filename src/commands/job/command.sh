{{ launcher }} \
{% for line in command %}
    {{ line }}{{ " \\\n" if not loop.last }}
{%- endfor %}