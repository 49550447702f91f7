{% set submit = "qsub FILE" %}
{% include "head" %}
#PBS -N {{ name }}
#PBS -j oe
# Nodes; cores, ranks and threads of each.
#PBS -l select={{ nodes }}:ncpus={{ ranks * cores }}:mpiprocs={{ ranks }}:ompthreads={{ engine_threads }}{{ ":ngpus=" ~ gpus if gpus }}{{ ":mem=" ~ memory if memory }}
#PBS -l place=scatter
{% if walltime %}
#PBS -l walltime={{ walltime }}
{% endif %}
{% if array %}
#PBS -J 1-{{ array }}
{% endif %}
{% if partition %}
#PBS -q {{ partition }}
{% endif %}
{% if account %}
#PBS -A {{ account }}
{% endif %}
# Back into the queue when a node is lost.
#PBS -r y
{% for line in directives %}
#PBS {{ line }}
{% endfor %}

cd "${PBS_O_WORKDIR:-.}" || exit 1
{% include "environment" %}

attempt=${FRAMEWISE_ATTEMPT:-1}
say "attempt $attempt of {{ limit }}, job $PBS_JOBID"
{% if again != "none" %}
# Deleted, or out of time without having stopped before: PBS is ending this job.
ending=
trap 'ending=yes; kill -TERM "$launched" 2>/dev/null' TERM
{% endif %}
{% include "mpiexec" %}

{% include "outcome" %}
{% if again != "none" %}
case $code in
    0 | 1 | 2 | 3) ;;
    *)
        if [ -n "$ending" ]; then
            say "PBS is ending this job"
        elif [ "$attempt" -ge {{ limit }} ]; then
            say "not tried again after {{ limit }} attempts; submit the script again to go on"
        else
{% if array %}
            # One job more that shares the result, not so many again.
            next=$(grep -v '^#PBS -J' "$0" | qsub -v "FRAMEWISE_ATTEMPT=$((attempt + 1))") &&
{% else %}
            next=$(qsub -W depend="afterany:$PBS_JOBID" -v "FRAMEWISE_ATTEMPT=$((attempt + 1))" "$0") &&
{% endif %}
                say "job $next goes on"
        fi
        ;;
esac
{% endif %}
exit "$code"
