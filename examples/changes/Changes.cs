// A till that hears of changes: run it with the database's path. It prints what is there, and then whatever changes.
using Microsoft.Data.Sqlite;

using var connection = new SqliteConnection($"Data Source={args[0]}");
connection.Open();
long seen = 0, bell = -1;
while (true)
{
    var rung = Convert.ToInt64(Command("PRAGMA data_version").ExecuteScalar());
    if (rung == bell) { Thread.Sleep(200); continue; }                    // nobody has committed anything
    bell = rung;                                                          // noted before we ask: a later commit rings again
    using var changed = Command("SELECT product_id, name, is_deleted, change_seq FROM products WHERE change_seq > $seen ORDER BY change_seq");
    changed.Parameters.AddWithValue("$seen", seen);
    using var row = changed.ExecuteReader();
    while (row.Read())
    {
        Console.WriteLine($"{row.GetValue(0)} {row.GetValue(1)} {(row.GetInt64(2) == 1 ? "gone" : "changed")}");
        seen = row.GetInt64(3);
    }
}

SqliteCommand Command(string sql)
{
    var command = connection.CreateCommand();
    command.CommandText = sql;
    return command;
}
