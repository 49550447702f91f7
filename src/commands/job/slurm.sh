{% set submit = "sbatch [--nodes=N] FILE" %}
{% include "head" %}
#SBATCH --job-name={{ name }}
{% if array %}
#SBATCH --array=1-{{ array }}
#SBATCH --output={{ name }}-%A_%a.log
{% else %}
#SBATCH --output={{ name }}-%j.log
{% endif %}
#SBATCH --open-mode=append
#SBATCH --nodes={{ nodes }}
# Ranks of a node, and cores of a rank.
#SBATCH --ntasks-per-node={{ ranks }}
#SBATCH --cpus-per-task={{ cores }}
{% if gpus %}
#SBATCH --gpus-per-node={{ gpus }}
{% endif %}
{% if walltime %}
#SBATCH --time={{ walltime }}
{% endif %}
{% if memory %}
#SBATCH --mem={{ memory }}
{% endif %}
{% if partition %}
#SBATCH --partition={{ partition }}
{% endif %}
{% if account %}
#SBATCH --account={{ account }}
{% endif %}
# framewise asks SLURM for the end of the job and stops in time; should SLURM not answer, this signal comes so many seconds before it.
{% if mpiexec %}
#SBATCH --signal=B:USR1@{{ warning }}
{% else %}
#SBATCH --signal=USR1@{{ warning }}
{% endif %}
{% if again == "chain" %}
#SBATCH --no-requeue
{% else %}
# Back into the queue when a node is lost, or when others need the place.
#SBATCH --requeue
{% endif %}
{% for line in directives %}
#SBATCH {{ line }}
{% endfor %}

{% include "environment" %}

{% if again == "chain" %}
attempt=${FRAMEWISE_ATTEMPT:-1}
{% else %}
attempt=$((${SLURM_RESTART_COUNT:-0} + 1))
{% endif %}
{% if array %}
# Not SLURM_JOB_ID: the last task of an array has that of the whole array.
job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
{% else %}
job=$SLURM_JOB_ID
{% endif %}
say "attempt $attempt of {{ limit }}, job $job on $SLURM_JOB_NODELIST"
{% if again == "chain" %}

# The job before this one was cancelled: so are those after it.
if [ -n "${FRAMEWISE_PREVIOUS-}" ] &&
    scontrol --oneliner show job "$FRAMEWISE_PREVIOUS" 2>/dev/null | grep -q ' JobState=CANCELLED '; then
    say "job $FRAMEWISE_PREVIOUS was cancelled; nothing is done"
    exit 0
fi
# The next one waits from now on, for whatever may end this one; SLURM drops it when all is completed.
next=
if [ "$attempt" -lt {{ limit }} ]; then
    next=$(sbatch --parsable --dependency="afternotok:$job" --kill-on-invalid-dep=yes \
        --nodes="$SLURM_JOB_NUM_NODES" \
{% if array %}
        --array="$SLURM_ARRAY_TASK_ID" \
{% endif %}
        --export="ALL,FRAMEWISE_ATTEMPT=$((attempt + 1)),FRAMEWISE_PREVIOUS=$job" "$0") ||
        say "the next job could not be submitted; submit this script again when this job is over"
fi
{% endif %}

{% if mpiexec %}
{% include "mpiexec" %}
{% else %}
{% include "command" %}

code=$?
{% endif %}

{% include "outcome" %}
{% if again == "requeue" %}
case $code in
    0 | 1 | 2 | 3) ;;
    *)
        # Where SLURM itself ends the job (cancelled, preempted, out of time), it knows what comes next. Its controller may be busy.
        tries=1
        until state=$(squeue --noheader --job="$job" --format=%T) || [ "$tries" -ge 5 ]; do
            tries=$((tries + 1))
            sleep 5
        done
        if [ "$state" != RUNNING ]; then
            say "SLURM is ending this job (${state:-no answer})"
        elif [ "$attempt" -ge {{ limit }} ]; then
            say "not tried again after {{ limit }} attempts; submit the script again to go on"
        else
            say "back into the queue"
            scontrol requeue "$job"
        fi
        ;;
esac
{% elif again == "chain" %}
case $code in
    0 | 1 | 2 | 3) [ -z "$next" ] || scancel --quiet "$next" ;;
    *)
        if [ -n "$next" ]; then
            say "job $next goes on"
        elif [ "$attempt" -ge {{ limit }} ]; then
            say "not tried again after {{ limit }} attempts; submit the script again to go on"
        fi
        ;;
esac
{% endif %}
exit "$code"
