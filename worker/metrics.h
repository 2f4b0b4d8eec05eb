/* metrics.h - the file of metrics that a task writes: one JSON object of numbers and strings. */
#pragma once

#include "worker/report.h"

#define METRICS_MAX (1u << 20) /* bytes of the file */

/** metrics_parse() - into the report, sorted by name. Return: 0; ERR_FAILED in @e: nested, another
 * type, a name twice, not JSON; the report is then unchanged. */
int metrics_parse(struct report *r, const void *data, size_t size, struct err *e);
/** metrics_of_result() - the numbers and strings at the top of what a call returned as JSON, if that is an
 * object; whatever else is there is left out. */
void metrics_of_result(struct report *r, const void *data, size_t size);
