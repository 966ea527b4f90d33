/* A shared library needs a source of its own; libdiptych.so is made of the layers. */
typedef int diptych_has_no_own_source;
