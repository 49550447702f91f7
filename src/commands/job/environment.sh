say() { echo "$(date '+%F %T') $*"; }
{% if setup %}

# Of this site: modules, environments.
{% for line in setup %}
{{ line }}
{% endfor %}
{% endif %}

# Workers are the parallelism: an engine computes each frame with so many threads.
export OMP_NUM_THREADS={{ engine_threads }} OPENBLAS_NUM_THREADS={{ engine_threads }} MKL_NUM_THREADS={{ engine_threads }}
# HDF5's own locks stand between a run and its readers, and fail where the file system has none; RESULT.lock keeps writers apart.
export HDF5_USE_FILE_LOCKING=FALSE
{% if open_mpi %}
# A node whose link is cut ends the job after 3 + 2 * 2 s of silence; without these it would hang until the walltime.
export OMPI_MCA_oob_tcp_keepalive_time=3 OMPI_MCA_oob_tcp_keepalive_intvl=2 OMPI_MCA_oob_tcp_keepalive_probes=2
{% if mpi_io %}
# Open MPI's layer for parallel files.
export OMPI_MCA_io={{ mpi_io }}
{% else %}
# Open MPI's layer for parallel files is chosen by itself: ROMIO on Lustre, its own elsewhere. `framewise bench io` measures both:
# export OMPI_MCA_io=ompio    # or romio321
{% endif %}
{% endif %}
{% if stripes %}

# On Lustre a new result goes to {{ stripes }} servers, unless the folder has a layout already.
result={{ result }}
folder=$(dirname -- "$result")
if [ ! -e "$result" ] && [ "$(stat --file-system --format=%T -- "$folder")" = lustre ] && command -v lfs >/dev/null &&
    [ "$(lfs getstripe --stripe-count --directory "$folder" 2>/dev/null)" -le 1 ]; then
    lfs setstripe --stripe-count {{ stripes }} --stripe-size 4M "$folder" || say "the stripes of $folder stay as they are"
fi
{% endif %}
