/* journal_open.h - open meta.db: make or migrate it, look whether it is whole, begin a new boot. */
#pragma once

#include "broker/ledger/db.h"
#include "broker/ledger/ledger.h"

/** journal_open() - Return: 0, *dbp is the caller's and @info is filled in (index_rebuilt aside),
 * the new boot generation is on disk; ERR_FAILED with @e. */
int journal_open(sqlite3 **dbp, const char *dir, struct ledger_info *info, struct err *e);
/** journal_close_clean() - note that the journal was closed in order, empty its log, close it. */
void journal_close_clean(sqlite3 *db);
