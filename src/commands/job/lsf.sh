{% set submit = "bsub < FILE" %}
{% include "head" %}
{% if array %}
#BSUB -J "{{ name }}[1-{{ array }}]"
#BSUB -o {{ name }}-%J_%I.log
{% else %}
#BSUB -J {{ name }}
#BSUB -o {{ name }}-%J.log
{% endif %}
# Ranks in all, ranks of a node, cores of a rank.
#BSUB -n {{ nodes * ranks }}
#BSUB -R "span[ptile={{ ranks }}] affinity[core({{ cores }})]"
{% if gpus %}
#BSUB -gpu "num={{ gpus }}"
{% endif %}
{% if walltime %}
#BSUB -W {{ walltime }}
{% endif %}
# framewise asks LSF for the end of the job and stops in time; should LSF not answer, this signal comes so many minutes before it.
#BSUB -wa USR1
#BSUB -wt {{ (warning + 59) // 60 }}
{% if memory %}
#BSUB -M {{ memory }}
{% endif %}
{% if partition %}
#BSUB -q {{ partition }}
{% endif %}
{% if account %}
#BSUB -P {{ account }}
{% endif %}
# Back into the queue when a host is lost.
#BSUB -r
{% if again != "none" %}
# And when it has stopped in good order before the end.
#BSUB -Q "75"
{% endif %}
{% for line in directives %}
#BSUB {{ line }}
{% endfor %}

{% include "environment" %}

{% if again != "none" %}
# LSF does not tell a job how often it was requeued.
count=.{{ name }}-$LSB_JOBID{{ "-$LSB_JOBINDEX" if array }}.attempts
attempt=$(($(cat "$count" 2>/dev/null || echo 0) + 1))
echo "$attempt" >"$count"
say "attempt $attempt of {{ limit }}, job $LSB_JOBID"
{% endif %}
{% include "mpiexec" %}

{% include "outcome" %}
{% if again != "none" %}
case $code in
    0 | 1 | 2 | 3) rm -f -- "$count" ;;
    *)
        if [ "$attempt" -ge {{ limit }} ]; then
            say "not tried again after {{ limit }} attempts; submit the script again to go on"
            rm -f -- "$count"
            [ "$code" -ne 75 ] || code=1
        else
            # Also when a rank or a node was lost.
            code=75
        fi
        ;;
esac
{% endif %}
exit "$code"
