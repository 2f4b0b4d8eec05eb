/* journal_sql.c - the statements of the writer. */
#include "broker/ledger/journal.h"

const char *const journal_sql[J_COUNT] = {
	[J_BEGIN] = "BEGIN IMMEDIATE",
	[J_COMMIT] = "COMMIT",
	[J_BATCH] = "INSERT INTO batches(batch, id, client_key, request) VALUES(?1, ?2, "
		    "?3, ?4)",
	[J_CHUNK] = "INSERT INTO chunks VALUES(?1, ?2, ?3, ?4)",
	[J_SEAL] = "UPDATE batches SET sealed=1, task_count=?2, chunk_count="
		   "coalesce((SELECT max(chunk) + 1 FROM chunks WHERE batch=?1), 0) "
		   "WHERE batch=?1",
	[J_END_ROW] = "INSERT INTO ends VALUES(?1, ?2, ?3, ?4)",
	[J_LEASE_ROW] = "INSERT INTO leases VALUES(?1, ?2, ?3)",
	[J_CHECKPOINT] = "INSERT OR REPLACE INTO checkpoints VALUES(?1, ?2, ?3)",
	[J_PAUSE] = "UPDATE batches SET paused=?2 WHERE batch=?1",
	[J_CHECKPOINTS_GONE] = "DELETE FROM checkpoints WHERE batch=?1",
	[J_BATCH_ENDED] = "UPDATE batches SET ended_wall_ms=?2, counts=?3 WHERE batch=?1",
	[J_LEASES_GONE] = "DELETE FROM leases WHERE batch=?1",
	[J_DISCARD_BATCH] = "DELETE FROM batches WHERE batch=?1",
	[J_DISCARD_CHUNKS] = "DELETE FROM chunks WHERE batch=?1",
	[J_DISCARD_ENDS] = "DELETE FROM ends WHERE batch=?1",
	[J_DISCARD_TAGS] = "DELETE FROM batch_tags WHERE batch=?1",
	[J_BATCH_ID] = "SELECT id FROM batches WHERE batch=?1",
	[J_COMMIT_ROW] = "INSERT INTO commits VALUES(?1, ?2, ?3, ?4)",
	[J_PARENT] = "SELECT hash FROM commits WHERE seq=?1",
	[J_BLOB] = "INSERT INTO inline VALUES(?1, ?2, ?3)",
	[J_BATCH_TAGS] = "SELECT keys FROM batch_tags WHERE batch=?1",
	[J_TAGS] = "INSERT INTO batch_tags VALUES(?1, ?2, ?3)",
	[J_COMMIT_TAGS] = "INSERT INTO commit_tags VALUES(?1, ?2)",
	[J_STATE] = "INSERT OR REPLACE INTO meta VALUES('state', ?1)",
	[J_CHANGE] = "INSERT INTO changes VALUES(?1, ?2, ?3, ?4)",
	[J_READ_COMMIT] = "SELECT current, hash, body FROM commits WHERE seq=?1",
	[J_READ_TAGS] = "SELECT entries FROM commit_tags WHERE seq=?1",
	[J_COMMIT_GONE] = "DELETE FROM commits WHERE seq=?1",
	[J_TAGS_GONE] = "DELETE FROM commit_tags WHERE seq=?1",
	[J_USE_GONE] = "DELETE FROM use WHERE seq=?1",
	[J_DEMOTE] = "UPDATE commits SET current=0 WHERE seq=?1",
	[J_BLOB_SIZE] = "SELECT length(bytes) FROM inline WHERE seq=?1",
	[J_BLOB_GONE] = "DELETE FROM inline WHERE seq=?1",
	[J_PIN] = "INSERT OR REPLACE INTO pins VALUES(?1, ?2, ?3)",
	[J_UNPIN] = "DELETE FROM pins WHERE name=?1",
	[J_STAGE] = "INSERT INTO staged VALUES(?1, ?2, ?3, ?4, ?5)",
	[J_STAGED] = "SELECT current, body, tags FROM staged WHERE import=?1 ORDER BY n",
	[J_STAGED_DEMOTED] =
		"UPDATE staged SET current=0 WHERE import=?1 AND n=(SELECT n FROM staged "
		"WHERE import=?1 ORDER BY n LIMIT 1 OFFSET ?2)",
	[J_STAGED_GONE] = "DELETE FROM staged WHERE import=?1",
	[J_FOLD] = "SELECT seq, batch, wall_ms, entries FROM ends WHERE seq>?1 ORDER BY "
		   "seq LIMIT ?2",
	[J_FOLD_BATCH] = "SELECT seq, batch, wall_ms, entries FROM ends WHERE batch=?1 "
			 "AND seq>?2",
	[J_FOLD_ENDED] = "SELECT ended_wall_ms FROM batches WHERE batch=?1",
	[J_USE] = "INSERT INTO use VALUES(?1, ?2, ?3) ON CONFLICT(seq) DO UPDATE SET "
		  "last_used_ms=max(last_used_ms, excluded.last_used_ms), "
		  "hits=hits+excluded.hits",
	[J_FORGET] = "DELETE FROM changes WHERE seq<=?1",
};
