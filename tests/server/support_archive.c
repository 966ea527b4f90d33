/* The archive of the tests of search/ serves here too. */
#include "tests/search/support.c"
