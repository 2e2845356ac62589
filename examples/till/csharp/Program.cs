// dotnet new console; dotnet add package Microsoft.Data.Sqlite; dotnet run /var/lib/syncd/store.db
using System.Globalization;
using System.Text.Json;
using Microsoft.Data.Sqlite;

using var connection = new SqliteConnection($"Data Source={args[0]}");
connection.Open();
Run("PRAGMA busy_timeout = 5000");                  // before anything else, on every connection
Run("CREATE TABLE IF NOT EXISTS receipts (id INTEGER PRIMARY KEY, total TEXT NOT NULL)");  // the till's own table

using (var sale = connection.BeginTransaction())    // BEGIN IMMEDIATE
{
    var id = (long)Run("INSERT INTO receipts (total) VALUES ($total) RETURNING id", ("$total", "12.50"))!;
    Run("""
        INSERT INTO sync_outbox (entity_type, entity_id, operation, payload, priority)
        VALUES ('Receipt', $id, 'Create', $payload, 2)
        """,
        ("$id", id), ("$payload", JsonSerializer.Serialize(new { receiptId = id, total = "12.50", currency = "EUR" })));
    sale.Commit();
}

var price = Run("SELECT price FROM current_prices WHERE product_id = $id AND price_list = 'default'", ("$id", 4711L));
Console.WriteLine(price is string text
    ? $"4711 costs {decimal.Parse(text, CultureInfo.InvariantCulture).ToString(CultureInfo.InvariantCulture)}"
    : "HQ has sent no price of 4711");

object? Run(string sql, params (string Name, object Value)[] parameters)
{
    using var command = connection.CreateCommand();
    command.CommandText = sql;
    foreach (var (name, value) in parameters) command.Parameters.AddWithValue(name, value);
    return command.ExecuteScalar();
}
