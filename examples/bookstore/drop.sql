-- Removes what sql/ made, from a server that stays. The connectors must be gone, or their slots are in use.
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
  WHERE slot_name IN ('debezium_ecom_slot', 'debezium_inventory_slot') AND NOT active;
DROP DATABASE IF EXISTS ecomdb;
DROP DATABASE IF EXISTS inventorydb;
DROP DATABASE IF EXISTS analytics;
DROP ROLE IF EXISTS ecom_cdc, inventory_cdc, analytics_writer, bookstore_app;
