//! A PostgreSQL database that takes records as rows, under the class name of Debezium's JDBC sink.
