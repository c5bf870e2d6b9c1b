/* What the counted program asks of Callgrind. Outside of it these do nothing.
 *
 * Until the first section nothing is instrumented: the start of a program would take a minute.
 */
#include <valgrind/callgrind.h>

void start_instrumenting(void) { CALLGRIND_START_INSTRUMENTATION; }

void stop_instrumenting(void) { CALLGRIND_STOP_INSTRUMENTATION; }

/* Count from zero. */
void begin_section(void) { CALLGRIND_ZERO_STATS; }

/* Write what was counted since into a file of its own, with the section's name in it. */
void end_section(const char *name) { CALLGRIND_DUMP_STATS_AT(name); }
