"""Who is told what of a migration: notices out of the journal, and which were told."""
