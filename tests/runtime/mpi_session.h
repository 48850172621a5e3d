#pragma once
// The one session of the tests that mpirun starts; main() makes and ends it.

namespace limewash {

class MpiSession;

extern MpiSession* mpi_session;

}  // namespace limewash
