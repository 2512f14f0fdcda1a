"""What stands in a topic (of one partition) and how far a consumer group is: on Kafka, or on the worker's embedded log."""
import json
from collections import namedtuple

from confluent_kafka import Consumer, TopicPartition

Record = namedtuple("Record", "offset key value headers")


def records(worker, kafka, topic):
    """Every record of the topic; the value is None for a tombstone."""
    return _from_kafka(kafka, topic) if kafka else _from_log(worker, topic)


def waiting(worker, kafka, connector, group, topic):
    """How many records wait behind the offset that the group has stored."""
    stored = _kafka_offset(kafka, group, topic) if kafka else _log_offset(worker, connector, topic)
    # Counted, since the last offset of a partition may be that of a transaction's marker.
    return sum(record.offset >= stored for record in records(worker, kafka, topic))


def _from_log(worker, topic):
    found, offset = [], "earliest"
    while True:
        page = worker.get(f"/v1/topics/{topic}/records", offset=offset, limit=10000)
        if not page["records"]:
            return found
        found += [Record(r["offset"], r["key"], r["value"], {h["name"]: h["value"] for h in r["headers"]}) for r in page["records"]]
        offset = page["next_offset"]


def _from_kafka(kafka, topic):
    consumer = Consumer({"bootstrap.servers": kafka.address, "group.id": "look", "enable.auto.commit": False,
                         "isolation.level": "read_committed", "enable.partition.eof": True, "fetch.wait.max.ms": 10})
    found = []
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        while True:
            message = consumer.poll(10)
            if message is None:
                raise TimeoutError(f"{topic}: nothing came for 10 s behind {len(found)} records")
            if message.error():
                return found  # the end of what is committed
            parsed = [None if text is None else json.loads(text) for text in (message.key(), message.value())]
            found.append(Record(message.offset(), *parsed, {name: value.decode() for name, value in message.headers() or []}))
    finally:
        consumer.close()


def _kafka_offset(kafka, group, topic):
    # As a member would ask; it does not join.
    consumer = Consumer({"bootstrap.servers": kafka.address, "group.id": group})
    try:
        return max(consumer.committed([TopicPartition(topic, 0)], timeout=30)[0].offset, 0)
    finally:
        consumer.close()


def _log_offset(worker, connector, topic):
    stored = worker.get(f"/connectors/{connector}/offsets")["offsets"]
    return next((o["offset"]["kafka_offset"] for o in stored if o["partition"]["kafka_topic"] == topic), 0)
