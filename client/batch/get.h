/* get.h - what a node means, once the schema says what is asked for. Every reader points at the
 * node when it has something else. @what names the thing in messages: "retries", "an output".
 * All return 0, ERR_USAGE or ERR_FAILED in doc->e. */
#pragma once

#include "client/batch/doc.h"
#include "common/format/value.h"

/** get_text() - a scalar as it is written; borrowed. Nothing and JSON's null are refused. */
int get_text(struct doc *doc, const struct node *node, const char *what,
	     const char **textp);
int get_name(struct doc *doc, const struct node *node, const char *what,
	     const char **namep);
int get_uint(struct doc *doc, const struct node *node, const char *what, uint64_t max,
	     uint64_t *valuep);
int get_int(struct doc *doc, const struct node *node, const char *what, int64_t min,
	    int64_t max, int64_t *valuep);
/** get_number() - an integer or a float, as a double. */
int get_number(struct doc *doc, const struct node *node, const char *what,
	       double *valuep);
/** get_duration() - also "none" and null: 0. */
int get_duration(struct doc *doc, const struct node *node, const char *what,
		 uint64_t *nsp);
int get_size(struct doc *doc, const struct node *node, const char *what,
	     uint64_t *bytesp);
/** get_milli() - a number >= 0 with three decimals at most, in 1/1000. */
int get_milli(struct doc *doc, const struct node *node, const char *what,
	      uint64_t *millip);
/** get_choice() - Return: as above; *choicep is the index in @choices (NULL-terminated). */
int get_choice(struct doc *doc, const struct node *node, const char *what,
	       const char *const *choices, unsigned *choicep);
/** get_value() - a parameter: by the core schema of YAML 1.2, so true and 1e-4 are what they
 * look like, and no, on, "1.20" are texts. Texts are borrowed from the node. */
int get_value(struct doc *doc, const struct node *node, const char *what,
	      struct value *valuep);
/** get_inside() - a path inside the task's directory, tidied: no "./", no "//", no "/" at the end. */
int get_inside(struct doc *doc, const struct node *node, const char *what,
	       const char **pathp);

int get_is_list(struct doc *doc, const struct node *node, const char *what);
int get_is_map(struct doc *doc, const struct node *node, const char *what);
bool get_is_null(const struct node *node);
/** get_is_text() - a scalar that is a text by looks too: quoted, or no number, truth or null. */
bool get_is_text(const struct node *node);
/** get_unknown_key() - Return: ERR_USAGE with the nearest of @keys (NULL-terminated). */
int get_unknown_key(struct doc *doc, const struct node *key, const char *where,
		    const char *const *keys);
/** get_keys() - a map with only these keys: valuep[i] is that of keys[i], or NULL. */
int get_keys(struct doc *doc, const struct node *map, const char *where,
	     const char *const *keys, const struct node **values);
/** get_describe() - "the text \"x\"", "the number 3", "a list", ...; @out of 128 bytes. */
const char *get_describe(const struct node *node, char out[128]);
/** get_tidy_path() - "./a//b/" to "a/b", "." to ""; ".." stays. Return: NULL if out of memory. */
char *get_tidy_path(struct arena *arena, const char *path);
