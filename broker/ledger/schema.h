/* schema.h - what is in meta.db, and how a store of an older version becomes one of this version.
 *
 * The schema version is PRAGMA user_version. A store is made by the same steps that migrate one:
 * from version 0, one transaction per step, so that a crash leaves a whole older version. */
#pragma once

#include "broker/ledger/db.h"

struct schema_step { /* the step at place n makes version n + 1 of version n */
	const char *sql;
	int (*run)(sqlite3 *db); /* after @sql, in the same transaction; or NULL */
};

struct schema {
	const struct schema_step *steps;
	unsigned count;	  /* the version that this program writes */
	const char *name; /* "meta.db", for the log */
};

extern const struct schema schema_journal;

/* The step that made a history of the record: removal, tags, pins, counters. */
extern const char schema_history_sql[];
int schema_history_count(sqlite3 *db);

/** schema_migrate() - bring @db to the version of @schema. @fromp: the version that it had, 0 if
 * it was empty. Return: 0; ERR_FAILED with @e set: newer than this program (says which version
 * wrote it), not a store of ours, or a step failed (the store is then as before that step). */
int schema_migrate(sqlite3 *db, const struct schema *schema, const char *path,
		   unsigned *fromp, struct err *e);
