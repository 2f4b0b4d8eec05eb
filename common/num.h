/* num.h - numbers, durations and sizes as people write and read them. */
#pragma once

#include "common/pure/buf.h"

/** num_format_double() - shortest text that reads back the same, as Python's repr() prints it:
 * 0.1, 1e-05, 1e+16, 3.0, inf, nan. @out holds at least 32 bytes. Return: @out. */
char *num_format_double(char *out, double value);
/** num_parse_duration() - "10m", "1h30m", "500ms", "30d", "45" (seconds), units ms s m h d w.
 * Return: 0 and nanoseconds, or 1. */
int num_parse_duration(const char *text, uint64_t *ns);
/** num_parse_size() - "1GiB", "512MB", "100k", "64" (bytes): k M G T are 1000s with or without
 * B, Ki Mi Gi Ti 1024s. Return: 0 and bytes, or 1. */
int num_parse_size(const char *text, uint64_t *bytes);
void num_add_duration(struct buf *b,
		      uint64_t ns); /* "10m", "1.24s", "0:14" is not its business */
void num_add_size(struct buf *b, uint64_t bytes); /* "1.2 GiB" */
