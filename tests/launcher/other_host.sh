#!/bin/sh
# A host for tests, on this machine: stands in for ssh (OMPI_MCA_plm_rsh_agent), so mpirun calls it with HOST COMMAND.
# The command gets a host name of its own and, as with ssh, little of the environment. Where $LOST/HOST exists the host
# is gone. Open MPI then takes what runs here for another machine: no shared memory, sums over TCP.
host=$1
shift
if [ -e "$LOST/$host" ]; then
  echo asked >>"$LOST/$host.asked"
  echo "ssh: connect to host $host port 22: No route to host" >&2
  exit 255
fi
exec unshare --uts env -i HOME="$HOME" PATH="$PATH" LOST="$LOST" sh -c 'hostname "$1" && exec sh -c "$2"' sh "$host" "$*"
