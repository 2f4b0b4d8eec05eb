/* output_tree.h - files and folders of a task become contents. */
#pragma once

#include "worker/report.h"

#define OUTPUT_ENTRIES_MAX 1000000
#define OUTPUT_DEPTH_MAX 64

struct output_walk {
	struct report *report;
	const char *root; /* real path of the task's directory */
	uint64_t inline_max;
	uint64_t bytes_max; /* of all files; 0: any number */
	uint64_t entries, bytes;
};

/** output_add() - the file or folder at @path (real, inside root). Return: 0; 1 if it cannot be an
 * output, with the reason in @e; negative errno if this worker failed. */
int output_add(struct output_walk *w, const char *path, Cashet__Content *content,
	       struct err *e);
/** output_add_file() - hash an open regular file; into the report when small, else noted under @path
 * (which lives as long as @r). Return: 0 or negative errno. */
int output_add_file(struct report *r, int fd, const char *path, uint64_t inline_max,
		    uint8_t digest[DIGEST_SIZE], uint64_t *size);
