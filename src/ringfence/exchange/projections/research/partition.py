"""One Parquet file: of one table, instrument and day. It is written aside, synced and then named."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ringfence.exchange.projections.research.columns import Row, Table
from ringfence.files import sync_directory
from ringfence.instruments.specification import Instrument

NAME = "part-0.parquet"
_GROUP_ROWS = 65_536


def path_of(home: Path, table: Table, symbol: str, day: str) -> Path:
    return home / table.name / f"instrument={symbol}" / f"day={day}" / NAME


class Partition:
    def __init__(self, path: Path, table: Table, of: Instrument, metadata: dict[str, str]) -> None:
        """Raises OSError."""
        self._path, self._aside = path, path.with_suffix(".writing")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._schema = table.schema(of, metadata)
        self._rows: list[Row] = []
        self.count = 0
        self._writer = pq.ParquetWriter(
            self._aside, self._schema, compression="zstd", version="2.6", write_page_checksum=True
        )

    def add(self, row: Row) -> None:
        self._rows.append(row)
        if len(self._rows) >= _GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            columns = zip(*self._rows, strict=True)
            arrays = [pa.array(column, one.type) for column, one in zip(columns, self._schema, strict=True)]
            self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))
            self.count += len(self._rows)
            self._rows.clear()

    def finish(self) -> int:
        """Put the file in its place, durable; return how many rows it has. Raises OSError."""
        self._flush()
        self._writer.close()
        descriptor = os.open(self._aside, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._aside.rename(self._path)
        sync_directory(self._path.parent)
        return self.count

    def drop(self) -> None:
        """Forget what was written aside."""
        self._writer.close()
        self._aside.unlink(missing_ok=True)
