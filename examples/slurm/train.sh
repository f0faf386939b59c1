#!/bin/bash
# Train on several machines, and go on in another job when the time of this one is over or it is preempted:
#
#     sbatch train.sh train.yaml OUT
#
#SBATCH --job-name=pyg-nnp
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4       # one process for each GPU, or, without GPUs, for some cores
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=4         # leave out without GPUs
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120       # to this script, 120 s before the end

config=${1:?which configuration?}
out=${2:?which output folder?}

requeue() {
    # the processes save their state and end
    kill -TERM "$step"
    wait "$step"
    scontrol requeue "$SLURM_JOB_ID"
    exit 0
}
trap requeue USR1
# of preemption; SLURM requeues the job itself then
trap 'kill -TERM "$step"; wait "$step"; exit 143' TERM

# --resume also starts the first training; a process that fails ends the others
srun --kill-on-bad-exit=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" pyg-nnp train "$config" -o "$out" --resume &
step=$!
wait "$step"
