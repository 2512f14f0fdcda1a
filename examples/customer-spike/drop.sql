-- Removes what sql/ made, from a server that stays. The connectors must be gone, or their slot is in use.
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'customer_slot' AND NOT active;
DROP DATABASE IF EXISTS crm;
DROP DATABASE IF EXISTS crm_copy;
DROP ROLE IF EXISTS customer_cdc, customer_copy, crm_app;
