/* files.h - local files and folders that a batch needs: found, hashed once, uploaded later.
 *
 * Names are relative to the batch file's folder. In folders, links are followed as long as they
 * stay inside (the store has no links); what is neither file nor folder is refused. Never taken:
 * .cashet (the store itself); as code also .git, __pycache__ and *.pyc, which change by themselves. */
#pragma once

#include "client/batch/memo.h"
#include "client/builder.h"

#define FILES_DEPTH_MAX 64
#define FILES_TREE_MAX (64u << 20) /* bytes of a tree blob */

enum files_use { FILES_INPUT, FILES_CODE };

struct files_member {	       /* of a folder; or the one file */
	const char *path;      /* below the folder; "" for a file */
	const char *full_path; /* to open */
	struct content content;
	uint64_t size;
	bool uploaded;
	bool has_tokens, no_tokens; /* of C: neither until shipped.c has looked */
	uint8_t tokens[DIGEST_SIZE];
};

struct files_item {
	struct content content; /* FILE, EXEC or TREE */
	uint64_t size;
	struct files_member *members;
	uint32_t count, capacity;
	void *tree; /* the tree blob; NULL for files and for code */
	size_t tree_size;
	bool uploaded;
};

struct files {
	const char *folder; /* of the batch file, absolute */
	struct memo memo;
	struct arena arena; /* paths */
	struct map map;	    /* use and path to number of item */
	struct files_item **items;
	uint32_t count, capacity;
};

/** files_init() - @batch_path: of the batch file, or "-". Return: 0 or ERR_*. */
int files_init(struct files *f, const char *batch_path, const char *memo_path,
	       struct err *e);
void files_fini(struct files *f);
/** files_get() - hash what stands at @path, or find it hashed. Return: 0; ERR_USAGE with what and
 * why in @e, without position; ERR_FAILED out of memory. */
int files_get(struct files *f, const char *path, enum files_use use,
	      struct files_item **itemp, struct err *e);
/** files_begin() - what was given to another builder counts for nothing. */
void files_begin(struct files *f);
/** files_upload_member() - give one file to @b, once. */
int files_upload_member(struct files_member *m, struct builder *b, struct err *e);
/** files_upload() - give what @item consists of to @b, once. */
int files_upload(struct files_item *item, struct builder *b, struct err *e);
